z.register_hook(lambda grad: print(grad))
