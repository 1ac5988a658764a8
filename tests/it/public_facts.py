"""Prints public facts as JSON, one a line, knowing nothing but the descriptors that are published."""

import json
import sys
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

BOUND_S = 60


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


def main():
    brokers, topic, key, count, descriptors = sys.argv[1:]
    classes = message_classes(descriptors)
    # Offsets are this reader's own business: nothing is committed, everything is read from the beginning.
    consumer = Consumer(
        {"bootstrap.servers": brokers, "group.id": "downstream", "enable.auto.commit": False}
    )
    partitions = consumer.list_topics(topic, timeout=BOUND_S).topics[topic].partitions
    consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in partitions])
    left, deadline = int(count), time.monotonic() + BOUND_S
    while left > 0:
        if time.monotonic() > deadline:
            sys.exit(f"{left} facts of {key} did not come on {topic}")
        record = consumer.poll(0.5)
        if record is None:
            continue
        if record.error():
            sys.exit(str(record.error()))
        if record.key() != key.encode():
            continue
        headers = {name: value.decode() for name, value in record.headers()}
        message = classes[headers["ce_type"]]()
        message.ParseFromString(record.value())
        fact = {
            "key": record.key().decode(),
            "partition": record.partition(),
            "headers": headers,
            "payload": json_format.MessageToDict(message),
        }
        print(json.dumps(fact), flush=True)
        left -= 1
    consumer.close()


main()
