"""Building a benchmark like Soul-Bench (paper, Sec. 4.2): generated, judged by a second model, signed off by people."""
