"""Commands for a workspace elsewhere: the client sends its words and files, the server runs them.

Takes and gives what a command takes and gives at home: words, files, output, exit code. `rights` says what each takes.
"""
