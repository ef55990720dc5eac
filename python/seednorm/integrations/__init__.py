"""SeeDNorm in existing trainers, with a module for each: megatron, olmo_core, timm, torchtitan, transformers.

`import seednorm` imports none of them. Each imports its trainer, which must be installed. docs/guide/trainers.md shows
the lines to write.
"""
