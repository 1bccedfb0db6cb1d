"""`edgemnist health`: is the model still as good as it was?"""
