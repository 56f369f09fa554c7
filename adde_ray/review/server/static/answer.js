// What a person decided about one sample, as the server takes it.

export function answerTo(sample, action, label, more = {}) {
  return {
    answer_id: newId(),
    task: sample.task,
    action,
    label,
    flags: [],
    comment: null,
    seconds: 0,
    saw_guess: false,
    saw_why: false,
    replaces: null,
    ...more,
  };
}

// crypto.randomUUID needs https beyond loopback.
function newId() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
