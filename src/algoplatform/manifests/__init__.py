"""Renders image records as Kubernetes objects: pure functions on records, without I/O.

- `options`: `OPTIONS` names each option once for the API, the command line (`kebab`), settings (`setting`) and
  pages, with its `allowed` values or `form`, `default` and Chinese `description`. `parse_options(given,
  profiles, base)` reads a query or a JSON object over the defaults of `base`, and raises Refused (202) with
  every fault. For settings, build `given` from the environment by `Option.setting`, with `Options()` as base.
- `gpu.profiles`: `with_site(bytes of ALGOPLATFORM_GPU_PROFILES_FILE or None)` returns the profiles by name.
- `rendering`: `render(targets, options, profiles=…, config_files=…, digests=…, levels=…)` returns `Rendered`:
  objects, order, addresses, needs, warnings, assumptions. It raises Refused with every reason at once: 202 for
  wrong options and configuration files, else -422, with the field of the record or the option.
- `image`: `Target` is an image with its id, version, and whether it was asked for by name.
- `yaml`: `dump_yaml(objects)` yields UTF-8, one document per object.
- `check.objects`: `check(objects)` returns the verdicts of an API server. What `render` returns passes it.
- `names`: `RENDERER` is part of an entity tag; `object_name` names the file of a download.

`levels` maps references to their levels in the graph of dependencies. Without it all images have level 0.

Warnings of rendering itself: `pvc-unused`, `pvc-rwo`, `gpu-none`, `node-port-range`, and `hostpath-conflict` across
the set. Rules about single records belong to lint: the caller adds lint's findings of severity error and warning.
"""
