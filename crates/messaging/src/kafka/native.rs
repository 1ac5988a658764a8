//! What the safe interface does not tell: topics' UUIDs, and a member's id. The only unsafe code of this
//! crate.
#![expect(unsafe_code, reason = "librdkafka tells these only through its C interface")]

use std::{
    collections::HashMap,
    ffi::{CStr, CString, c_char},
    ptr,
    sync::Arc,
    time::Duration,
};

use rdkafka::{bindings as c, client::Client, client::ClientContext};

use crate::LogError;

/// Topics as the cluster describes them, by name.
pub(super) type Topics = HashMap<Arc<str>, Topic>;

/// A topic that exists.
pub(super) struct Topic {
    pub(super) id: Arc<str>,
    /// How many partitions it has.
    pub(super) partitions: i32,
}

/// Describes those of the topics that exist. Blocks until the cluster answers or time is up.
pub(super) fn describe<C: ClientContext>(
    client: &Client<C>,
    topics: &[Arc<str>],
    timeout: Duration,
) -> Result<Topics, LogError> {
    let names: Result<Vec<CString>, _> = topics.iter().map(|topic| CString::new(&**topic)).collect();
    let names = names.map_err(|_| LogError::Refused("a topic's name has a zero byte".into()))?;
    let mut pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
    let millis = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    let client = client.native_ptr();
    // SAFETY: the client outlives this call, and `names` the collection, which copies them anyway.
    // Collection, options, queue and event are each made here, checked for null where C may give it,
    // used while they live, and destroyed once, in the order that librdkafka asks for.
    unsafe {
        let collection = c::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
        let options =
            c::rd_kafka_AdminOptions_new(client, c::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS);
        c::rd_kafka_AdminOptions_set_request_timeout(options, millis, ptr::null_mut(), 0);
        let queue = c::rd_kafka_queue_new(client);
        c::rd_kafka_DescribeTopics(client, collection, options, queue);
        c::rd_kafka_AdminOptions_destroy(options);
        c::rd_kafka_TopicCollection_destroy(collection);
        let event = c::rd_kafka_queue_poll(queue, millis);
        let found = if event.is_null() {
            Err(LogError::unavailable("the cluster did not describe its topics in time"))
        } else {
            let found = read(event, topics);
            c::rd_kafka_event_destroy(event);
            found
        };
        c::rd_kafka_queue_destroy(queue);
        found
    }
}

/// Reads the answer.
///
/// # Safety
/// `event` must be a live event of a `DescribeTopics` call.
unsafe fn read(event: *mut c::rd_kafka_event_t, topics: &[Arc<str>]) -> Result<Topics, LogError> {
    // SAFETY: the event lives, by this function's contract, and owns all that is read of it: the
    // result, its descriptions and their texts. None is used after this function.
    unsafe {
        let code = c::rd_kafka_event_error(event);
        if code != c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            let text = CStr::from_ptr(c::rd_kafka_err2str(code)).to_string_lossy().into_owned();
            return Err(LogError::unavailable(text));
        }
        let result = c::rd_kafka_event_DescribeTopics_result(event);
        if result.is_null() {
            return Err(LogError::unavailable("the cluster answered something else"));
        }
        let mut count = 0;
        let descriptions = c::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        let mut found = HashMap::new();
        for index in 0..count {
            let description = *descriptions.add(index);
            let error = c::rd_kafka_TopicDescription_error(description);
            if !error.is_null()
                && c::rd_kafka_error_code(error) != c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
            {
                continue;
            }
            let name = CStr::from_ptr(c::rd_kafka_TopicDescription_name(description)).to_string_lossy();
            let uuid = c::rd_kafka_Uuid_base64str(c::rd_kafka_TopicDescription_topic_id(description));
            let mut partitions = 0;
            c::rd_kafka_TopicDescription_partitions(description, &raw mut partitions);
            let topic = topics.iter().find(|topic| ***topic == *name);
            if let (Some(topic), false) = (topic, uuid.is_null()) {
                let id = CStr::from_ptr(uuid).to_string_lossy().into();
                let partitions = i32::try_from(partitions).unwrap_or(i32::MAX);
                found.insert(topic.clone(), Topic { id, partitions });
            }
        }
        Ok(found)
    }
}

/// The member id that the broker gave this consumer (not its instance id, which is the process's own); none
/// before it has joined, and while it joins anew.
pub(super) fn member_id<C: ClientContext>(client: &Client<C>) -> Option<String> {
    let client = client.native_ptr();
    // SAFETY: the client outlives this call; the text is a copy that is checked for null, read here, and
    // freed once with the same client.
    unsafe {
        let text = c::rd_kafka_memberid(client);
        if text.is_null() {
            return None;
        }
        let id = CStr::from_ptr(text).to_string_lossy().into_owned();
        c::rd_kafka_mem_free(client, text.cast());
        Some(id).filter(|id| !id.is_empty())
    }
}
