"""Learning online which model serves each request, and so what each site pulls (Common Knowledge).

A round: a request comes with n features, of which only d may be read; a learner chooses an arm
(a site and a model, the data centre, or rejecting); then the demand and the loss become known, of
this arm alone. `context` is the guard, `learner` the interface, `stationary` and `edge` are the
environments, `play` lets a learner play in one, `regret` judges. All definitions and the proof of
EXP4-RC's bound: docs/pulling-online.md.
"""
