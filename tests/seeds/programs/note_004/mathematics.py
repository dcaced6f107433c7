# the names stand in the running text of the note
torch.rand(2, 3)
a = torch.arange(6.).reshape(2, 3)
r = torch.range(1, 4)
c = torch.chunk(a, 2, dim=0)
n = torch.normal(0., 1., size=(2, 2))
s = torch.add(a, a)
