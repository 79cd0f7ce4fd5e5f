"""From a configuration to a trained tagger: the loop, exact resuming, the run folder."""
