# Common arithmetic functions are supported, such as:

z = x + y    # Addition
z = x - y    # Subtraction
y = x.sum()  # Summation
y = x.mean() # Mean
y = x.pow(2) # Power
