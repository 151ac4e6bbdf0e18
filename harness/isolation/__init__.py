"""Whether the isolation series keeps its promises: the debugging still debugs, nothing else broke, what it costs."""
