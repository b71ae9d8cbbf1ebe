"""Networks finetuned on samples of a task, from random or pretrained weights: many short fits that share a GPU."""
