import { test } from "node:test";
import { registerSuites, TEST_TIMEOUT_MS } from "./register.ts";

// node:test only warns of what fails after its test has ended.
process.on("unhandledRejection", (reason) => {
  console.error("Unhandled rejection:", reason);
  process.exitCode = 1;
});

registerSuites(`node${process.versions.node.split(".")[0]}`, (name, body) => {
  void test(name, { timeout: TEST_TIMEOUT_MS }, body);
});
