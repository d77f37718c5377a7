"""Reads C declarations, as far as these tests need it: preprocessed source in; functions with the
machine-level kinds of their parameters, structures with their members, constants out."""
import os
import re
import subprocess


def preprocess(path, *flags):
    return subprocess.run([os.environ.get("CC", "cc"), "-E", "-P", "-std=c11", "-D_GNU_SOURCE",
                           *flags, str(path)], check=True, capture_output=True, text=True).stdout


class Source:
    def __init__(self, text):
        self.text = re.sub(r"__attribute__\s*\(\((?:[^()]|\([^()]*\))*\)\)|__extension__|__inline__"
                           r"|\bextern\b", " ", text)
        self.typedefs = {}
        for name in re.findall(r"\btypedef\s+enum\s*\w*\s*\{[^{}]*\}\s*(\w+)\s*;", self.text):
            self.typedefs[name] = "int"
        for body in re.findall(r"\btypedef\s+([^;{}]+);", self.text):
            pointer = re.search(r"\(\s*\*\s*(\w+)\s*\)", body)
            if pointer:
                self.typedefs[pointer.group(1)] = "pointer *"
            elif (plain := re.match(r"(.*?)(\w+)\s*$", body, re.S)):
                self.typedefs[plain.group(2)] = plain.group(1).strip()

    def kind(self, declaration):
        """'pointer', '8' or '4' (bytes of an integer), or the name of a structure passed whole."""
        declaration = re.sub(r"\b(const|volatile|register)\b", "", declaration).strip()
        if "*" in declaration or "[" in declaration:
            return "pointer"
        words = declaration.split()
        if words[0] in ("struct", "union"):
            return words[1]
        if words[0] == "enum":
            return "4"
        if words.count("long") or words[0] in ("size_t", "uint64_t"):
            return "8"
        if words[0] in self.typedefs:
            return self.kind(self.typedefs[words[0]])
        if words[0] in ("int", "unsigned", "char", "short", "float", "double", "signed"):
            return "4"
        return words[0]  # typedef of a structure with a body

    def parameters(self, text):
        text = text.strip()
        if text in ("", "void"):
            return []
        return [self.kind(part) for part in re.sub(r"\([^()]*\)", "", text).split(",")]

    def functions(self, result="cudaError_t"):
        pattern = result + r"\s+(\w+)\s*\(((?:[^()]|\([^()]*\))*)\)\s*[;{]"
        return {name: self.parameters(params)
                for name, params in re.findall(pattern, self.text)}

    def function_types(self):
        pattern = r"typedef\s+CUresult\s*\(\s*\*\s*(\w+)\)\s*\(((?:[^()]|\([^()]*\))*)\)\s*;"
        return {name: self.parameters(params) for name, params in re.findall(pattern, self.text)}

    def structures(self):
        """Name as used in C -> member names; unions and nested structures are left out."""
        found = {}
        for tag, body, alias in re.findall(r"struct\s+(\w+)\s*\{([^{}]*)\}\s*(\w*)\s*;", self.text):
            members = []
            for line in body.split(";"):
                for part in line.split(","):
                    name = re.search(r"(\w+)\s*(?:\[[^\]]*\]\s*)*$", part.strip())
                    if name:
                        members.append(name.group(1))
            found[alias or f"struct {tag}"] = members
        return found

    def constants(self):
        return [name for body in re.findall(r"enum\s*\w*\s*\{([^{}]*)\}", self.text)
                for name in re.findall(r"(\w+)\s*=", body)]
