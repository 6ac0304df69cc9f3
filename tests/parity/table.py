"""The table of networks that networks.py fills: a row per network, a column per question; written as Markdown when the suite ends."""
COLUMNS = ("parameters equal", "summary equal", "max relative output error", "max relative gradient error", "opens in Keras 3", "opens in tf_keras")
NOTE = """Errors are against Keras in float64, relative to the largest value: of the logits or features, and of each tensor's gradient (of the network's
where the tensor's own is zero but for rounding). In brackets: the same for Keras's own float32, and the worst share of what the error model allows.
"as NAME (all)": the same blocks more often; compared where networks.py is given "all"."""


class Table:
    """Cells by network and column; what is not filled says so."""

    def __init__(self):
        self.rows = {}

    def put(self, network, column, text):
        if column not in COLUMNS:
            raise KeyError(column)
        self.rows.setdefault(network, {})[column] = str(text)

    def both(self, network, column, ok):
        """A cell that stays "no" once something in it differed."""
        old = self.rows.setdefault(network, {}).get(column, "yes")
        self.put(network, column, "yes" if ok and old == "yes" else "no")

    def open_columns(self, network):
        return [column for column in COLUMNS if column not in self.rows.get(network, {})]

    def empty(self):
        return [f"{network}: {column}" for network in self.rows for column in self.open_columns(network)]

    def markdown(self):
        lines = [("network", *COLUMNS)] + [(network, *(row.get(column, "missing") for column in COLUMNS)) for network, row in self.rows.items()]
        widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
        text = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |" for line in lines]
        text.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
        return "\n".join([*text, "", NOTE]) + "\n"
