"""Our hand-written ABI headers, taken apart: every type, field and constant they declare.

The headers hold plain declarations only (typedef, struct, union, enum, #define), so a small parser
does. What it does not understand is an error, so that nothing goes unchecked.
"""

import re
import subprocess

IDENTIFIER = r"[A-Za-z_]\w*"


class Declarations:
    """What a header of ours, and the headers of ours that it includes, declare.

    types      name -> its declaration with every `name` replaced by my_<name>
    fields     list of (type, field) for structs and unions, nested ones dotted
    tags       structures that are only named
    constants  name -> its definition as C text that defines my_<name>
    """

    def __init__(self, header, include, cc):
        self.types, self.fields, self.tags, self.constants = {}, [], [], {}
        text = preprocess(header, include, cc)
        for name, value in re.findall(r"^#define (CU\w*) (.+)$", text, re.M):
            self.constants[name] = "#define my_%s %s" % (name, value)
        for declaration in split_top(re.sub(r"^#.*$", "", text, flags=re.M), ";"):
            self._add(declaration)

    def _add(self, text):
        words = text.split()
        if words[0] == "enum" and text.endswith("}"):
            self._add_enumerators(text[text.index("{") + 1 : -1])
        elif words[0] in ("struct", "union") and len(words) == 2:
            self.tags.append(words[1])
        elif words[0] != "typedef":
            raise ValueError("not a declaration that is understood: " + text)
        elif "{" in text:
            self._add_structure(text)
        else:
            self._add_names(text)

    def _add_enumerators(self, body):
        for item in split_top(body, ","):
            name = item.split("=")[0].strip()
            if "=" not in item:
                raise ValueError("an enumerator wants its value written out: " + item)
            self.constants[name] = "enum { my_%s };" % item

    def _add_structure(self, text):
        match = re.fullmatch(
            r"typedef (struct|union) (%s) \{(.*)\} (%s)" % (IDENTIFIER, IDENTIFIER), text, re.S
        )
        if not match:
            raise ValueError("not a structure that is understood: " + text)
        kind, tag, body, name = match.groups()
        self.types[name] = "typedef %s my_%s {%s} my_%s;" % (kind, tag, body, name)
        self.fields += [(name, field) for field in field_names(body)]

    def _add_names(self, text):
        function = re.fullmatch(r"(typedef .*\(\*)(%s)(\)\s*\(.*\))" % IDENTIFIER, text, re.S)
        if function:
            head, name, tail = function.groups()
            self.types[name] = head + "my_" + name + tail + ";"
            return
        first, *others = split_top(text, ",")
        head, first_name = re.fullmatch(r"(.*?)(\**%s)" % IDENTIFIER, first, re.S).groups()
        for declarator in [first_name, *others]:
            stars, name = re.fullmatch(r"(\**)(%s)" % IDENTIFIER, declarator).groups()
            self.types[name] = "%s%smy_%s;" % (head, stars, name)


def preprocess(header, include, cc):
    """Return the preprocessed text with the #defines of our own headers in place; the text of
    system headers is left out."""
    command = [cc, "-E", "-dD", "-x", "c", *["-I%s" % folder for folder in include], str(header)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    kept, ours = [], False
    for line in output.splitlines():
        marker = re.match(r'# \d+ "(.*?)"', line)
        if marker:
            ours = not marker[1].startswith(("/usr/", "<"))
        elif ours:
            kept.append(line)
    return "\n".join(kept)


def split_top(text, separator):
    """Split at separators outside of any brackets; parts are trimmed, empty ones dropped."""
    parts, depth, current = [], 0, ""
    for character in text:
        depth += character in "({["
        depth -= character in ")}]"
        if character == separator and depth == 0:
            parts.append(current)
            current = ""
        else:
            current += character
    parts.append(current)
    return [part.strip() for part in parts if part.strip()]


def field_names(body):
    """The names of the fields in the body of a structure, those of nested structures dotted."""
    names = []
    for declaration in split_top(body, ";"):
        if "{" in declaration:
            inner = declaration[declaration.index("{") + 1 : declaration.rindex("}")]
            outer = declaration[declaration.rindex("}") + 1 :].strip()
            prefix = outer + "." if outer else ""
            names += [prefix + name for name in field_names(inner)]
            continue
        for declarator in split_top(declaration, ","):
            function = re.search(r"\(\*(%s)\)" % IDENTIFIER, declarator)
            plain = re.search(r"(%s)\s*(\[.*\])?\s*$" % IDENTIFIER, declarator)
            names.append((function or plain)[1])
    return names
