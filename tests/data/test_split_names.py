"""What split the name of a folder means."""

import pytest

from cnncli.data.split_names import parse_split_name

TRAIN = (
    "train Training TRAIN trn Train_set train-set TrainSet TRAINset trainset training_data "
    "train_images imagesTr seg_train xray_train 1_train 01-Training train2017 asl_alphabet_train "
    "trainval train_val 训练集 訓練集 entrenamiento entrainement Entraînement Trainingsdaten "
    "обучение Обучающая 학습 훈련 학습_데이터"
)
VAL = (
    "val Valid validation Validation_Set dev devset xray_valid valset 2_val validação valid_images "
    "Validierung Validierungsdaten валидация 验证集 검증"
)
TEST = (
    "test Testing tests TEST holdout hold-out Hold_Out_Set held_out testset seg_test 3-test "
    "Testdaten тест prueba 测试集 테스트"
)
NONE = (
    "control bus contest latest strain valve trains train_test te_large train_masks test_labels a"
)


@pytest.mark.parametrize(
    ("name", "split"),
    [
        (n, split)
        for split, names in (("train", TRAIN), ("val", VAL), ("test", TEST))
        for n in names.split()
    ]
    + [("Test (1)", "test"), ("Training Set", "train"), ("X-ray validation images", "val")],
)
def test_names_of_splits(name, split):
    found = parse_split_name(name)
    assert found is not None
    assert found.split == split


@pytest.mark.parametrize("name", NONE.split())
def test_names_of_none(name):
    assert parse_split_name(name) is None


def test_what_else_is_in_a_name_is_noticed():
    assert parse_split_name("Train_set").is_plain
    assert not parse_split_name("train_station").is_plain
