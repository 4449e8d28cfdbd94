"""How each program writes down what it tried to send: lines with their time, of one attempt each."""
