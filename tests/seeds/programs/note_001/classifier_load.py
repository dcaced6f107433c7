the_model = TheModelClass(*args, **kwargs)
the_model.load_state_dict(torch.load(PATH))
