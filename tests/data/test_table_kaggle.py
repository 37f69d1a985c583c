"""Folders as Kaggle ships them, and CSVs with several files per sample."""

import cv2
import numpy as np
import pytest

from cnncli.data.find_samples import find_samples
from cnncli.data.samples import CsvColumns
from cnncli.errors import CnncliError


def png(value):
    return cv2.imencode(".png", np.full((4, 4), value, np.uint8))[1].tobytes()


@pytest.fixture
def make(tmp_path):
    """Return a function that writes files (images by number, tables by text); returns the root."""

    def make(**files):
        root = tmp_path / "data"
        for number, (name, content) in enumerate(files.items()):
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png(number) if content is None else content.encode())
        return root

    return make


def images(folder, *names, ending=".png"):
    return {f"{folder}/{name}{ending}": None for name in names}


def found(root, **columns):
    samples = find_samples(str(root), CsvColumns(**columns))
    names = [samples.class_names[target] for target in samples.targets]
    return dict(zip(samples.paths.tolist(), names, strict=True)), samples


def test_aptos(make):
    root = make(
        **images("train_images", "000c", "001f"),
        **images("test_images", "0005"),
        **{
            "train.csv": "id_code,diagnosis\n000c,2\n001f,0\n",
            "test.csv": "id_code\n0005\n",
            "sample_submission.csv": "id_code,diagnosis\n0005,0\n",
        },
    )
    labels, samples = found(root)
    assert labels == {"train_images/000c.png": "2", "train_images/001f.png": "0"}
    (told,) = samples.remarks
    assert told.startswith("train.csv names the images; left aside: ")
    assert told.endswith("sample_submission.csv, test.csv, test_images/")
    assert samples.notes == ()


def test_cassava(make):
    root = make(
        **images("train_images", "1.jpg", "2.jpg", ending=""),
        **images("test_images", "3.jpg", ending=""),
        **{
            "train_tfrecords/ld_train00.tfrec": "x",
            "train.csv": "image_id,label\n1.jpg,0\n2.jpg,3\n",
            "sample_submission.csv": "image_id,label\n3.jpg,4\n",
            "label_num_to_disease_map.json": "{}",
        },
    )
    assert found(root)[0] == {"train_images/1.jpg": "0", "train_images/2.jpg": "3"}


def test_dog_breeds_with_ids_that_begin_anew_in_test(make):
    root = make(
        **images("train", "1", "2", ending=".jpg"),
        **images("test", "1", "2", ending=".jpg"),
        **{
            "train_labels.csv": "id,breed\n1,pug\n2,collie\n",
            "sample_submission.csv": "id,affenpinscher\n1,0.1\n",
        },
    )
    labels, samples = found(root)
    assert labels == {"train/1.jpg": "pug", "train/2.jpg": "collie"}
    assert samples.remarks[0].endswith("left aside: sample_submission.csv, test/")


def test_dog_breeds_as_labels_csv(make):
    root = make(
        **images("train", "a1", "a2", ending=".jpg"),
        **images("test", "b1", ending=".jpg"),
        **{
            "labels.csv": "id,breed\na1,pug\na2,collie\n",
            "sample_submission.csv": "id,pug\nb1,1\n",
        },
    )
    assert found(root)[0] == {"train/a1.jpg": "pug", "train/a2.jpg": "collie"}


def test_ham10000_whose_folders_are_shipped_twice(make):
    root = make(
        **{
            "HAM10000_metadata.csv": "lesion_id,image_id,dx,dx_type\n"
            "HAM_1,ISIC_1,bkl,histo\nHAM_1,ISIC_2,bkl,histo\nHAM_2,ISIC_3,nv,histo\n",
            "hmnist_28_28_L.csv": "pixel0000,label\n1,2\n",
        },
        **images("HAM10000_images_part_1", "ISIC_1", "ISIC_2", ending=".jpg"),
        **images("HAM10000_images_part_2", "ISIC_3", ending=".jpg"),
    )
    copy = root / "ham10000_images_part_1"
    copy.mkdir()
    for name in ("ISIC_1.jpg", "ISIC_2.jpg"):
        (copy / name).write_bytes((root / "HAM10000_images_part_1" / name).read_bytes())
    labels, samples = found(root)
    assert labels == {
        "HAM10000_images_part_1/ISIC_1.jpg": "bkl",
        "HAM10000_images_part_1/ISIC_2.jpg": "bkl",
        "HAM10000_images_part_2/ISIC_3.jpg": "nv",
    }
    assert samples.groups is None
    assert "column 'lesion_id' has 2 values for 3 images" in samples.group_hint
    assert samples.group_hint.endswith("--group-col lesion_id")
    assert found(root, group="lesion_id")[1].group_hint is None
    (copy / "ISIC_2.jpg").write_bytes(png(99))
    with pytest.raises(CnncliError, match=r"line 3: image 'ISIC_2' is ambiguous: HAM.*, ham"):
        found(root)


def test_siim_as_dicom_and_jpeg(make):
    root = make(
        **images("jpeg/train", "ISIC_1", "ISIC_2", ending=".jpg"),
        **images("jpeg/test", "ISIC_9", ending=".jpg"),
        **images("train", "ISIC_1", "ISIC_2", ending=".dcm"),
        **images("test", "ISIC_9", ending=".dcm"),
        **{
            "tfrecords/train00.tfrec": "x",
            "train.csv": "image_name,patient_id,sex,diagnosis,target\n"
            "ISIC_1,IP_1,f,nevus,0\nISIC_2,IP_1,f,melanoma,1\n",
            "test.csv": "image_name,patient_id\nISIC_9,IP_2\n",
        },
    )
    labels, samples = found(root)
    assert labels == {"jpeg/train/ISIC_1.jpg": "0", "jpeg/train/ISIC_2.jpg": "1"}
    assert samples.group_hint is None  # one patient only: nothing to tell apart
    assert "labels are column 'target'; diagnosis could be too: see --label-col" in samples.remarks
    assert found(root, label="diagnosis")[0]["jpeg/train/ISIC_2.jpg"] == "melanoma"


def test_diabetic_retinopathy(make):
    root = make(
        **images("train", "10_left", "10_right", ending=".jpeg"),
        **{"trainLabels.csv": "image,level\n10_left,0\n10_right,4\n"},
    )
    assert found(root)[0] == {"train/10_left.jpeg": "0", "train/10_right.jpeg": "4"}


def test_class_folders_are_none_of_a_tables(make):
    root = make(
        **images("images of cats", "1"),
        **images("dogs", "2"),
        **{"train.csv": "image,label\n1.png,x\n2.png,y\n"},
    )
    labels, samples = found(root)
    assert set(labels.values()) == {"images of cats", "dogs"}
    assert samples.remarks == ("train.csv beside the folders is not read; name it to use it",)


def test_two_tables_that_label_images_must_be_chosen_from(make):
    root = make(
        **images("images", "1"),
        **{
            "a.csv": "image,label\n1,x\n",
            "b.csv": "image,label\n1,y\n",
            "c.csv": "image,size\n1,5\n",
        },
    )
    with pytest.raises(CnncliError, match=r"several CSV files \(a.csv, b.csv\); name one of them"):
        found(root)


def test_split_folders_of_loose_images_without_a_table_are_no_data(make):
    root = make(**images("train", "1"), **images("test", "2"), **{"sizes.csv": "image,size\n1,2\n"})
    with pytest.raises(CnncliError, match=r"2 images lie in no class folder.*or name the CSV"):
        found(root)


# Several files per sample


@pytest.fixture
def scans(make):
    return make(
        **images("pet", "1", "2"),
        **images("ct", "1", "2"),
        **{
            "table.csv": "image_2,image_1,label\nct/1.png,pet/1.png,a\nct/2.png,pet/2.png,b\n",
            "named.csv": "pet,ct,label\npet/1.png,ct/1.png,a\npet/2.png,ct/2.png,b\n",
        },
    )


def check_scans(samples, root):
    assert samples.files == 2
    assert samples.paths.tolist() == ["pet/1.png|ct/1.png", "pet/2.png|ct/2.png"]
    for index, number in enumerate("12"):
        files = tuple((root / kind / f"{number}.png").read_bytes() for kind in ("pet", "ct"))
        assert samples.source.read(index) == files
        assert samples.source.size(index) == sum(map(len, files))


def test_numbered_columns_are_the_files_of_a_sample_in_the_order_of_their_numbers(scans):
    check_scans(find_samples(str(scans / "table.csv")), scans)


def test_named_columns_are_the_files_of_a_sample_in_the_order_given(scans):
    samples = find_samples(str(scans / "named.csv"), CsvColumns(image="pet, ct"))
    check_scans(samples, scans)
    with pytest.raises(CnncliError, match=r"--image-col mri: .*no such column"):
        find_samples(str(scans / "named.csv"), CsvColumns(image="pet,mri"))
    with pytest.raises(CnncliError, match="named twice"):
        find_samples(str(scans / "named.csv"), CsvColumns(image="pet,pet"))


def test_a_missing_file_of_several_is_told_with_its_line(scans):
    (scans / "ct" / "2.png").unlink()
    with pytest.raises(CnncliError, match=r"table.csv, line 3: image 'ct/2.png' not found"):
        find_samples(str(scans / "table.csv"))


def test_the_separator_in_a_name_is_refused_where_it_would_separate(make):
    root = make(
        **images("x", "a|b", "c"),
        **{
            "one.csv": "image,label\nx/a|b.png,u\nx/c.png,v\n",
            "two.csv": "image_1,image_2,label\nx/c.png,x/a|b.png,u\n",
        },
    )
    samples = find_samples(str(root / "one.csv"))
    assert samples.source.read(0) == ((root / "x" / "a|b.png").read_bytes(),)
    with pytest.raises(CnncliError, match=r"two.csv, line 2: 'x/a\|b.png' has a '\|' in its name"):
        find_samples(str(root / "two.csv"))
