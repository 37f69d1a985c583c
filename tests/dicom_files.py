"""DICOM files to test with."""

import io


def write_dicom(array, *, bits=12, signed=False, colour="MONOCHROME2", frames=1, **tags):
    """Write an array (H, W), (F, H, W) or (H, W, 3) as an uncompressed DICOM file."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["test"])
    dataset.Rows, dataset.Columns = array.shape[1:3] if frames > 1 else array.shape[:2]
    dataset.SamplesPerPixel = 3 if colour == "RGB" else 1
    if colour == "RGB":
        dataset.PlanarConfiguration = 0
    if frames > 1:
        dataset.NumberOfFrames = frames
    dataset.PhotometricInterpretation = colour
    dataset.BitsAllocated = 8 if bits <= 8 else 16
    dataset.BitsStored, dataset.HighBit = bits, bits - 1
    dataset.PixelRepresentation = int(signed)
    for name, value in tags.items():
        setattr(dataset, name, value)
    kind = ("i" if signed else "u") + str(dataset.BitsAllocated // 8)
    dataset.PixelData = array.astype("<" + kind).tobytes()
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()
