"""The thin core of medrl: data, models, measures, training, reports, studies."""
