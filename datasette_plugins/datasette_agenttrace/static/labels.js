// Names for the controls that Datasette 0.65 leaves unlabelled, boxes that scroll by keyboard, and
// links to what is called by blanks.
(() => {
  const label = () => {
    for (const field of document.querySelectorAll("form.filters select, form.filters input:not([type=submit]), form.sql textarea, form.sql input[type=text]")) {
      if (!field.labels?.length && !field.ariaLabel) field.ariaLabel = (field.name || "SQL").replace(/^_+/, "").replace(/_/g, " ");
    }
    for (const [boxes, name] of [[".table-wrapper", "Rows"], ["dl.column-descriptions", "Columns"], ["#sql-query", "SQL"], ["body.show-json pre", "JSON"]]) {
      for (const box of document.querySelectorAll(boxes)) {
        box.tabIndex = 0;
        if (box.tagName === "DL") continue;  // it stays a list
        box.role = "region";
        box.ariaLabel = name;
      }
    }
    for (const link of document.querySelectorAll("main a[href], section.content a[href]")) {
      if (link.childElementCount === 0 && link.textContent && !link.textContent.trim()) link.textContent = JSON.stringify(link.textContent);
    }
  };
  label();
  // The SQL editor is made when all else is loaded.
  addEventListener("load", label);
})();
