import json
from pathlib import Path

import buildings
import pandas as pd
import pytest

from dynamos.dataframe import protobuf_to_dataframe
from dynamos.datasets import Dataset
from dynamos.sensitive import Sensitive, SensitiveError
from merge import merge, read

FOLDER = Path(buildings.__file__).resolve().parent.parent


def test_the_generator_gives_the_committed_bytes():
    for name, text in buildings.files().items():
        assert (FOLDER / name).read_text() == text, name


def test_buildings_with_weather_are_joined_with_it(tmp_path):
    (tmp_path / "yearly_building_VU.csv").write_text("building_id;primary_use\n1;Office\n2;Education\n")
    (tmp_path / "yearly_weather_VU.csv").write_text("building_id;wind_speed\n2;3.5\n9;1\n")
    datasets = [Dataset(delimiter=";", tables=["yearly_building", "yearly_weather"])]
    joined = merge(read(tmp_path, "VU", datasets), Sensitive())
    assert joined.to_dict("list") == {"building_id": [2], "primary_use": ["Education"], "wind_speed": [3.5]}


@pytest.mark.parametrize("steward", ["UVA", "VU"])
def test_parties_have_both_tables(steward):
    joined = merge(read(FOLDER, steward, []), Sensitive())
    assert len(joined) > 200
    assert {"building_id", "primary_use", "consumption", "air_temperature"} <= set(joined.columns)


def test_a_party_without_tables_is_told_so():
    with pytest.raises(ValueError, match="SURF has no table yearly_building"):
        read(FOLDER, "SURF", [])


def test_sensitive_columns_need_a_service_that_anonymises_them():
    columns = {"yearly_building": ["building_id"]}
    with pytest.raises(SensitiveError, match=r"yearly_building\.building_id is sensitive"):
        merge(read(FOLDER, "UVA", []), Sensitive(columns))
    assert len(merge(read(FOLDER, "UVA", []), Sensitive(columns, ["building_id"])))


def test_a_chain_that_ends_in_a_python_service_returns_its_table(sidecar, ports, container, message):
    service = container(FOLDER / "main.py")
    sidecar.deliver(ports[1], message(""))
    answer = sidecar.answer()
    rows = json.loads(answer.result)
    frame = protobuf_to_dataframe(answer.data, dict(answer.metadata))
    assert rows[0] == sorted(frame.columns)
    assert len(rows) == len(frame) + 1 > 200
    assert json.loads(answer.metadata["services"]) == ["ml-merge-datasets"]
    assert json.loads(answer.metadata["dataframe_metadata"])["consumption"] == "int64"
    pd.testing.assert_frame_equal(frame, merge(read(FOLDER, "UVA", []), Sensitive()))
    assert service.wait(timeout=10) == 0
