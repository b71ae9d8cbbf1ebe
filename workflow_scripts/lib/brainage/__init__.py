"""Brain age: a normative model of age, the gap between predicted and true age, its debiasing and its agreement."""
