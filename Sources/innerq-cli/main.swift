print("innerq")
