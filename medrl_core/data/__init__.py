"""Images and items: the phantom, MedMNIST, medical VQA, and the prompts made of them."""
