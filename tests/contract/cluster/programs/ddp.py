"""A linear model learns by `torch.distributed`, each process from a part of the rows; prints its loss."""

import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

distributed.init_process_group("gloo")
rank, size = distributed.get_rank(), distributed.get_world_size()
torch.manual_seed(0)
rows = torch.randn(256, 8, dtype=torch.float64)
target = rows @ torch.arange(8, dtype=torch.float64) + 1
model = DistributedDataParallel(torch.nn.Linear(8, 1, dtype=torch.float64))
optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(50):
    optimiser.zero_grad()
    ((model(rows[rank::size]).squeeze() - target[rank::size]) ** 2).mean().backward()
    optimiser.step()
loss = ((model.module(rows).squeeze() - target) ** 2).mean().item()
print(f"world={size}; loss={loss:.12f};", flush=True)
distributed.destroy_process_group()
