"""The crossing into C: these modules alone import ``deepc._deepc``, each for one subject.

Everything above hands over Python values. An array goes down as it is: functions in C read its
dtype, shape and memory, make the result and refuse what does not fit (see
``csrc/python/arrays_api.h``), because doing that in Python would take longer than a small network.
What was refused is converted in Python and goes down again, or gets an error that names the
argument. All else goes through cffi.
"""
