"""SyncNet (Chung and Zisserman, 2016) as published in `syncnet_v2.model`: lips and sound, compared by a network."""
