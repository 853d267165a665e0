"""Common Knowledge's evaluation: scenarios on the EUA data set, sweeps, figures."""
