// Wide tables and code scroll inside their frames, which the keyboard has to reach.
new MutationObserver(() => {
  for (const frame of document.querySelectorAll(".md-typeset__scrollwrap:not([tabindex])")) frame.tabIndex = 0;
}).observe(document.documentElement, { childList: true, subtree: true });
