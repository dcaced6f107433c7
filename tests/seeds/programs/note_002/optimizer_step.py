# update
opt.step()
# clean grad
opt.zero_grad()
