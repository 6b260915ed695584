import torch

# The tensors of these tests are small: a second thread costs more than it gives, many times more on a busy
# machine.
torch.set_num_threads(1)
