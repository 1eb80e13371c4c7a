"""What weak rows are worth beside gold ones, judged by logistic regressions on rows held out."""
