"""Brain age: a normative model of age, the gap of predicted and true age, its debiasing, card and associations."""
