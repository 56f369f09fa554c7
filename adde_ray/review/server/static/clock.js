// Seconds that a sample was looked at: stands still while the tab is hidden.

export class Clock {
  constructor() {
    this.restart();
    document.addEventListener("visibilitychange", () => (document.hidden ? this.pause() : this.go()));
  }

  restart() {
    this.before = 0;
    this.since = document.hidden ? null : performance.now();
  }

  pause() {
    this.before = this.seconds;
    this.since = null;
  }

  go() {
    this.since ??= performance.now();
  }

  get seconds() {
    return this.before + (this.since === null ? 0 : (performance.now() - this.since) / 1000);
  }
}
