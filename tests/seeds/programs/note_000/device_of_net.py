# the note goes on with `model`
model = net
