"""A game as a folder that verl trains on: rows, reward, agent loop, configuration, launch script.

    spec     which game, as a file that every worker can read
    export   writes the folder
    scoring  the reward function that verl's reward workers load
    loop     the agent loop for games of several turns
    check    the folder against the installed verl, without a GPU

The folder replaces long shell scripts by one configuration, which is checked before anything is launched.
"""
