"""What a user would write to serve a forecast graph with another server: each answers POST /forecast as seqcast does.

They check nothing, count nothing and know one model, in the folder that the variable PEER_BUNDLE names.
"""
