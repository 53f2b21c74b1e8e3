"""Images and items: the drawn world, MedMNIST, medical VQA, and the prompts made of them."""
