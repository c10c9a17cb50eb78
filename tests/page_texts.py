"""Texts that try to be something else: markup, script, another direction, control characters."""

HOSTILE = "<script>document.title='owned'</script><img src=x onerror=alert(1)> \"'&` ${1} {{2}}"
RTL = "שלום \u202egnirts\u202c \x1b[2J\x00 end"
