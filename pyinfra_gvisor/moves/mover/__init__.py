"""
Runs on a node: recreates one container at a time, with a way back.

The old container is not removed before the new one has been seen to work: it is stopped, renamed,
and started again if the new one fails. So the way back needs no image, no file of compose and no
exception of the policy, and what the app wrote into its own layer is still there.
"""
