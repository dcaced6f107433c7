# written as the signature; here with what is to be saved
torch.save(obj, f, pickle_module, pickle_protocol=2)
