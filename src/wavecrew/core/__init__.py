"""The imperative shell: the modules that touch disk, processes and time. (The functional core is `models`.)"""
