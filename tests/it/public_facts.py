"""Prints public facts as JSON, one a line, knowing nothing but the descriptors that are published."""

import json
import sys
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

BOUND_S = 120


def message_classes(path):
    """Every message type of a descriptor set, by its full name."""
    files = descriptor_pb2.FileDescriptorSet()
    with open(path, "rb") as file:
        files.ParseFromString(file.read())
    return message_factory.GetMessageClassesForFiles(
        [file.name for file in files.file], pool_of(files)
    )


def pool_of(files):
    """A pool of the files, each after those that it imports, as a descriptor set has them."""
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    return pool


def partitions_of(consumer, prefix):
    """Every partition of every topic of public facts."""
    topics = consumer.list_topics(timeout=BOUND_S).topics
    return [
        TopicPartition(name, partition, OFFSET_BEGINNING)
        for name, topic in topics.items()
        if name.startswith(prefix + ".exeunt.") and name.endswith(".events")
        for partition in topic.partitions
    ]


def decoded(record, classes):
    """A fact with everything that it says; a field that the descriptors do not have is no part of the contract."""
    headers = {name: value.decode() for name, value in record.headers()}
    message = classes[headers["ce_type"]]()
    message.ParseFromString(record.value())
    known = type(message)()
    known.CopyFrom(message)
    known.DiscardUnknownFields()
    if known.ByteSize() != message.ByteSize():
        sys.exit(f"{headers['ce_type']} has fields that nobody published")
    return {
        "topic": record.topic(),
        "key": record.key().decode(),
        "partition": record.partition(),
        "headers": headers,
        "payload": json_format.MessageToDict(message),
    }


def main():
    brokers, prefix, descriptors, *wanted = sys.argv[1:]
    classes = message_classes(descriptors)
    # Offsets are this reader's own business: nothing is committed, everything is read from the beginning.
    consumer = Consumer(
        {"bootstrap.servers": brokers, "group.id": "downstream", "enable.auto.commit": False}
    )
    consumer.assign(partitions_of(consumer, prefix))
    missing, deadline = set(wanted), time.monotonic() + BOUND_S
    while missing:
        if time.monotonic() > deadline:
            sys.exit(f"did not come: {sorted(missing)}")
        record = consumer.poll(0.5)
        if record is None:
            continue
        if record.error():
            sys.exit(str(record.error()))
        fact = decoded(record, classes)
        missing.discard(f"{fact['headers']['ce_type']}={fact['key']}")
        print(json.dumps(fact), flush=True)
    consumer.close()


main()
