from tests.benchmarks import transfer


def test_the_benchmark_runs_and_kept_features_give_the_same_results(capsys):
    table = transfer.main(["--small", "--grid", "--minutes", "0.5"])
    assert "same results: True" in table["what"][0]
    assert table["seconds"].gt(0).all()
    assert "3 of 3 fits done" in table["what"].iloc[-1]
    assert "torch" in capsys.readouterr().out
