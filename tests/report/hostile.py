"""Texts that try to be more than text, for all pages."""

from __future__ import annotations

MARKUP = '</script><script>document.title="taken"</script><img src=x onerror="document.title=1">{{ 7*7 }}<!--'
TEXTS = {
    "markup": MARKUP,
    "separators": "a\u2028b\u2029c </SCRIPT ><svg onload=alert(1)> ]]> --> <!--<script>",
    "controls": "bell \x07 escape \x1b[31m nul \x00 delete \x7f next \x85 mark \ufeff",
    "direction": "safe \u202egnitset\u202c \u2066isolated\u2069 end",
    "one line": "x" * 200_000,
    "beyond the first plane": "𝔘" * 300 + "🧮👩‍🔬" + "é" * 20 + "\u05e9\u05dc\u05d5\u05dd",
    "url": "javascript:alert(1) data:text/html,<script>1</script> %3Cscript%3E",
    "template": "${7*7} {{7*7}} {% raw %} <%= 7 %> __proto__ constructor",
    "empty": "",
}
