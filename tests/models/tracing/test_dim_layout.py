"""Layouts of dimensions: what is known of rows and columns after a reshape."""

from cnncli.models.tracing.dim_layout import Atom, reshape_layout


def test_reshaping_keeps_rows_and_columns_apart_where_it_can():
    rows, columns, channels = Atom(6, (0,)), Atom(5, (1,)), Atom(4)
    layout = ((), (channels,), (rows,), (columns,))
    flat = reshape_layout(layout, (1, 4, 6, 5), (1, 120))
    assert flat == ((), (channels, rows, columns))
    assert reshape_layout(flat, (1, 120), (1, 2, 2, 6, 5)) == (
        (), (Atom(2),), (Atom(2),), (rows,), (columns,)
    )  # fmt: skip
    assert reshape_layout(layout, (1, 4, 6, 5), (1, 4, 3, 2, 5)) is None
    assert reshape_layout(layout, (1, 4, 6, 5), (1, 4, 30)) == ((), (channels,), (rows, columns))
