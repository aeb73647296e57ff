"""Every parser that sees octets from the network, fed with damaged messages: `make fuzz`; a quick form in `make test`.

    targets   what is called, what it may raise, what must hold afterwards, seeds and words
    mutate    seeds to inputs, from a seeded random source
    drive     inputs to a target, one by one, with the CPU time of each
    covered   a target under atheris: guided by coverage
    __main__  all targets over the cores, a table, exit 1 on a finding
"""
